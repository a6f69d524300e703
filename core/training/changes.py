"""What clients change of a run's course, carried out between its steps."""

from .course import Course, Unchangeable
from .steering import CHANGES, Steering


def change_course(course: Course, steering: Steering, step: int, steps_per_epoch: int) -> None:
    """Does what clients ask for now, and again what they changed at this step in an earlier start.

    Args:
        course: What is changed.
        steering: Knows what was asked, and answers.
        step: The last step that was done.
        steps_per_epoch: Of the data, for an end that is given in epochs.
    """
    for change in steering.recalled:
        if change.step == step and not course.took(change.key, change.value, step):
            course.change(change.key, change.value, step)
    for command in steering.asked(*CHANGES):
        ((key, value),) = command.values.items()
        if key == "epochs":
            key, value = "max_steps", value * steps_per_epoch
        try:
            if command.command == "extend" and value <= course.total_steps:
                raise Unchangeable(f"the run has {course.total_steps} steps; give more")
            old = course.change(key, value, step)
        except Unchangeable as error:
            steering.refuse(command, str(error))
            continue
        told = None
        if key == "max_steps":
            told = course.low_rate(step)
        elif key == "learning_rate":
            told = course.warms_up(step)
        steering.done(command, key=key, old=old, new=value, reason=told)
