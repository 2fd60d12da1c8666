"""A test-only Krita plug-in: works the srvid dialog in the full program, as a person would.

It triggers the action, fills and accepts the dialog, watches or cancels the progress, reads error
boxes, undoes, and writes gui.json and pictures to $SRVID_TEST_FOLDER. Then it ends Krita.
"""

import json
import os
import time
import traceback

from krita import Extension, Krita
from PyQt5.QtCore import QByteArray, QTimer
from PyQt5.QtWidgets import QApplication, QDialog, QMessageBox, QProgressDialog

FOLDER = os.environ["SRVID_TEST_FOLDER"]
FACTS = {"phases": [], "ticks": 0}


def path(name):
    return os.path.join(FOLDER, name)


def picture(widget, name):
    widget.grab().save(path(name + ".png"))


def document(width, height, source=None):
    new = Krita.instance().createDocument(width, height, "test", "RGBA", "U8", "", 72.0)
    Krita.instance().activeWindow().addView(new)
    Krita.instance().setActiveDocument(new)
    node = new.topLevelNodes()[-1]
    with open(path(source), "rb") as file:
        node.setPixelData(QByteArray(file.read()), 0, 0, width, height)
    new.refreshProjection()
    new.waitForDone()
    new.setActiveNode(node)
    return new


class Hand:
    """Looks ten times a second at what is on the screen and does the next thing."""

    def __init__(self, model, scale, cancel_at=None, name=""):
        self.model, self.scale, self.cancel_at, self.name = model, scale, cancel_at, name
        self.errors, self.cancelled_at, self.has_picture = [], None, False
        self.timer = QTimer()
        self.timer.timeout.connect(self.look)
        self.timer.start(20)

    def look(self):
        FACTS["ticks"] += 1
        dialog = QApplication.activeModalWidget()
        if isinstance(dialog, QProgressDialog):
            FACTS["phases"].append(dialog.labelText())
            if dialog.value() > 0 and self.name and not self.has_picture:
                self.has_picture = True
                picture(dialog, self.name + "-progress")
            is_time = dialog.labelText() == "upscaling" or dialog.value() > 0
            if self.cancel_at is not None and is_time and self.cancelled_at is None:
                self.cancelled_at = time.time()
                dialog.cancel()
        elif isinstance(dialog, QMessageBox):
            self.errors.append([dialog.text(), dialog.informativeText()])
            picture(dialog, "krita-error")
            dialog.accept()
        elif isinstance(dialog, QDialog) and hasattr(dialog, "scale"):
            dialog.models.setCurrentText(self.model)
            dialog.scale.setValue(self.scale)
            if self.name:
                picture(dialog, self.name + "-dialog")
            dialog.accept()


def play(doc, **options):
    hand = Hand(**options)
    Krita.instance().action("srvid_upscale").trigger()
    hand.ended_at = time.time()
    hand.timer.stop()
    doc.waitForDone()
    return hand


def dump(doc, name):
    with open(path(name), "wb") as file:
        file.write(bytes(doc.topLevelNodes()[-1].pixelData(0, 0, doc.width(), doc.height())))


def shape(doc):
    return doc.width(), doc.height(), [node.uniqueId().toString() for node in doc.topLevelNodes()]


def run():
    doc = document(64, 48, "small.in")
    play(doc, model="random", scale=2)
    FACTS["size"] = [doc.width(), doc.height()]
    dump(doc, "gui.raw")
    undo = Krita.instance().action("edit_undo")
    FACTS["undo_steps"] = 0
    while undo.isEnabled() and not same(doc, "small.in") and FACTS["undo_steps"] < 9:
        before, deadline = shape(doc), time.time() + 600
        undo.trigger()
        while shape(doc) == before and time.time() < deadline:  # Krita undoes when it comes to it
            doc.waitForDone()
            QApplication.processEvents()
        FACTS["undo_steps"] += 1
    FACTS["undone"] = same(doc, "small.in")
    large = document(2500, 2000, "large.in")
    play(document(600, 335, "photo.in"), model="clear", scale=4, name="krita")
    Krita.instance().action("zoom_to_fit").trigger()
    QApplication.processEvents()
    Krita.instance().activeWindow().qwindow().grab().save(path("krita-result.jpg"), quality=88)
    Krita.instance().setActiveDocument(large)
    Krita.instance().activeWindow().addView(large)
    hand = play(large, model="random", scale=4, cancel_at=0)
    FACTS["cancelled_at"], FACTS["cancel_seconds"] = hand.cancelled_at, hand.ended_at - (hand.cancelled_at or 0)
    FACTS["untouched"] = same(large, "large.in")
    file = os.environ["SRVID_WORKER_FILE"]
    os.rename(file, file + ".away")
    FACTS["errors"] = play(doc, model="clear", scale=2).errors
    os.rename(file + ".away", file)
    FACTS["asked_for"] = play(doc, model="own.onnx,nearest", scale=1.5).errors
    another = document(64, 48, "small.in")
    play(another, model="random", scale=1.5)
    FACTS["size_of_one_and_a_half"] = [another.width(), another.height()]


def same(doc, name):
    with open(path(name), "rb") as file:
        return bytes(doc.topLevelNodes()[-1].pixelData(0, 0, doc.width(), doc.height())) == file.read()


class Driver(Extension):
    def setup(self):
        notifier = Krita.instance().notifier()
        notifier.setActive(True)
        notifier.windowCreated.connect(lambda: QTimer.singleShot(500, self.play))

    def createActions(self, window):  # noqa: N802  Krita's name
        pass

    def play(self):
        try:
            run()
        except BaseException:
            FACTS["failed"] = traceback.format_exc()
        with open(path("gui.json"), "w") as file:
            json.dump(FACTS, file)
        os._exit(0)


Krita.instance().addExtension(Driver(Krita.instance()))
