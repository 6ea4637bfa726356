"""Training and fine-tuning of VITS and VITS2: data, losses, discriminators, the loop, and export to the original layout."""
