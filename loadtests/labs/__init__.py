"""The workshop: experiments that ask first, measure, explain, and check what was understood."""
