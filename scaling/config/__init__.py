"""From a composed configuration to a Study."""
