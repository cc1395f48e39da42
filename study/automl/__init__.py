"""The AutoML that is run beside paper B's comparators."""
