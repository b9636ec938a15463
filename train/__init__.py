"""Thin commands: `python -m train.svg`, `python -m train.evaluate`, …"""
