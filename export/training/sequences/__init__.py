"""Training of the networks that look at sequences (P1, P3): clips in, a checkpoint out.

In the order in which data flows:

    clips.py        frames of one face with what is true of each; kept in a run's folder
    simulated.py    clips of the simulated classroom, whose truth is known
    grown.py        clips grown from photographs: one face becomes another that is like it
    marking.py      landmarks of clips of which nobody knows them
    sets.py         all clips of a run
    recipe.py       everything that makes a run
    batches.py      clips cut by the device's alignment, disturbed, with features and targets
    trainer.py      what a step learns; the loop is `export.training.run`'s
    checkpoints.py  a checkpoint as a network that can be asked
    measuring.py    a checkpoint against the truth, and against a network of single images
    ablation.py     P1's heads without some of their attentions
    films.py        what a checkpoint says of a film, over time
"""
