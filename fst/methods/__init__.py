"""LightningModules: feedforward (a network learns a style), gatys (an image is optimised), and what runs share."""
