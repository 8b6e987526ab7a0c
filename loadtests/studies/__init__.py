"""What is measured besides the comparison of the twins, each study in a folder of its own."""
