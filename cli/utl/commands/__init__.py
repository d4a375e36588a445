"""The commands of `triodeutl`, loaded when they are called."""
