"""DICOM files as images."""
