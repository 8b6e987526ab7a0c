"""What puts a learner's file in the place of a twin's."""
