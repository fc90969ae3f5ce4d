"""Write a project's work as a DAG of an orchestrator that a team already has."""
