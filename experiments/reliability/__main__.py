"""Every command of this folder but `live`, which is about time, a little of each: python -m experiments.reliability"""

import importlib
import sys

SMALL = {
    "kill": ["--times", "1", "--kinds", "adapting"],
    "stop": ["--times", "1"],
    "mutate": ["--times", "8"],
    "disk": ["--times", "2"],
    "page": ["--times", "9"],
    "twice": ["--times", "2"],
    "downloads": ["--times", "11"],
    "extremes": ["--times", "2"],
}

if __name__ == "__main__":
    for name, words in SMALL.items():
        sys.argv = [name, *words]
        importlib.import_module(f"experiments.reliability.{name}").main()
