"""Where a network looks: maps, boxes, controls."""
