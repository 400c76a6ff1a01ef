"""Steppers of the recurrent models on torch's fused layers."""
