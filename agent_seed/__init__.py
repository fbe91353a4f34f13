"""The first agent of the tree: a shell, an editor and a loop."""
