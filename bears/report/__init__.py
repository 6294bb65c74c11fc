"""Do visitors' photos still look like the ones that a model was tested on?"""
