"""`nearbit demo`: the whole road on built-in data sets, and a page that shows what came out."""

from nearbit.demo.run import run_demo
from nearbit.demo.stories import STORIES, Story

__all__ = ["STORIES", "Story", "run_demo"]
