"""seqdemo: a workbench for recurrent sequence models."""
