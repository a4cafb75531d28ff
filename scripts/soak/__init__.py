"""Long tests of what leaves the box: a broker and links that are killed at random, and a large backlog."""
