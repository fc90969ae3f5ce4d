"""Pages for people: Markdown, and one HTML file made of it that needs no network."""
