"""From files to views: sources -> FrameTable -> FramePack -> views and batches."""
