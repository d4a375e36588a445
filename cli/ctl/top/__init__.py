"""The live view: what is asked of the members, what is made of it, and how it is shown."""
