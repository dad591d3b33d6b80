"""What is trained or computed before a hash network: a similarity of classes, a classifier, a committee."""
