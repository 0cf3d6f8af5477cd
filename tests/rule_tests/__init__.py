"""Cases that test the rules: how they are read, judged and told."""
