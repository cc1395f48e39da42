"""A trained run on a folder of images: `python -m helpers.predict --run ... --images ...`.

Notebook 11 and the command line do the same by `folder.predict_folder`. Not for clinical use.
"""
