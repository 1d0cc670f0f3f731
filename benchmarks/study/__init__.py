"""What the study's rows say: claims, orders, what a step explains, and whether a fall can be foreseen."""
