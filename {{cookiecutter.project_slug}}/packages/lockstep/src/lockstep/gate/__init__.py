"""What makes a model the champion."""
