"""One program a claim, each side by side with what it is compared to; results are kept in results/."""
