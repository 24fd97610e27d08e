"""Training: labelled faces in, a checkpoint out.

In the order in which data flows:

    datasets.py       labelled faces with the pupils that the device would find
    augmentation.py   crops cut anew each epoch, with disturbed pupils
    recipe.py         everything that makes a run
    batches.py        what one step learns from: crops, label distributions, votes
    mixing.py         mixup and cutmix
    teacher.py        soft targets from a bundle
    starting.py       first weights from a checkpoint or a bundle
    trainer.py        the loop; resumes where it was stopped
    landmark_cuts.py      marked faces, cut as a badly sitting box would have them
    landmark_trainer.py   the landmark network in the same loop
    progress.py       where a run stands
    curves.py         the learning curve as a picture
    watching.py       a run on the terminal
"""
