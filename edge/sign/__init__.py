"""The sign for the door: what is looked at, what is kept, and whom to ask, as a page to print."""
