"""The explorer: plain functions, then layout, then wiring; a file per tab. All arithmetic is vidpred's."""
