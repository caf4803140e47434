"""What else runs graphs: each as its own documentation shows it."""
