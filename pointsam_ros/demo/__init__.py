"""The demonstration: a cloud over DDS to the node, clicks on it, masks back, shown to a person."""
