"""What "looks like" means: frozen VGG features, and the content, style and total variation losses on them."""
