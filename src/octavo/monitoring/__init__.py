"""Whether models still do well: drift, quality, performance over matured outcomes, incidents."""
