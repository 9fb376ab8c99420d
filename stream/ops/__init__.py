"""What is done to an application from outside, while it runs or not: the commands of `statecast state`."""
