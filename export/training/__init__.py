"""Training: labelled faces in, a checkpoint out.

In the order in which data flows:

    datasets.py       labelled faces with the pupils that the device would find
    augmentation.py   crops cut anew each epoch, with disturbed pupils
    recipe.py         everything that makes a run
    trainer.py        the loop; resumes where it was stopped
    curves.py         the learning curve as a picture
"""
