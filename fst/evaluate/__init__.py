"""The yardsticks: how good a network is, measured in one way for all."""
