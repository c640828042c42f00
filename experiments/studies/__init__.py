"""What every study under experiments/ shares: python experiments/study.py."""
