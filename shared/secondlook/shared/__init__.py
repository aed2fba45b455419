"""What both tiers need: values, detectors, context memory, errors, settings, telemetry."""
