"""The action, its dialog, and a job on a thread of its own.

The thread does nothing but talk to the worker; everything of Krita's API stays on the main thread.
"""

from __future__ import annotations

import threading
from typing import Any

from krita import Extension, Krita
from srvid_upscale import document as pixels
from srvid_upscale import srvid_client as client

try:
    from PyQt5.QtCore import Qt, QThread, pyqtSignal
    from PyQt5.QtWidgets import (
        QComboBox,
        QDialog,
        QDialogButtonBox,
        QDoubleSpinBox,
        QFileDialog,
        QFormLayout,
        QMessageBox,
        QProgressDialog,
    )
except ImportError:  # Krita 6
    from PyQt6.QtCore import Qt, QThread, pyqtSignal
    from PyQt6.QtWidgets import (
        QComboBox,
        QDialog,
        QDialogButtonBox,
        QDoubleSpinBox,
        QFileDialog,
        QFormLayout,
        QMessageBox,
        QProgressDialog,
    )

TITLE = "Upscale (srvid)"
SETTINGS = "srvid_upscale"
OWN_MODEL = "Own file..."
SCOPE_LABELS = {
    "image": "Whole image",
    "layer": "Layer to new document",
    "selection": "Enhance selection in place",
}


class UpscaleExtension(Extension):  # type: ignore[misc]
    """What Krita loads; one for all windows."""

    def setup(self) -> None:
        """Nothing to do before there is a window."""

    def createActions(self, window: Any) -> None:  # noqa: N802  Krita's name
        """Add the action; it can be put on a toolbar or a shortcut like every other."""
        action = window.createAction("srvid_upscale", TITLE + "...", "tools/scripts")
        action.triggered.connect(self.start)

    def start(self) -> None:
        """Ask, compute, write."""
        document = Krita.instance().activeDocument()
        if document is None:
            _complain("no document is open", "")
            return
        dialog = OptionsDialog(_main_window(), document.selection() is not None)
        if dialog.exec() != QDialog.DialogCode.Accepted:
            return
        options = dialog.options()
        try:
            parts = pixels.read_parts(document, document.activeNode(), options)
            self.run_job(document, parts, options)
        except client.WorkerError as error:
            _complain(str(error.args[0]), error.hint)

    def run_job(self, document: Any, parts: list[Any], options: Any) -> None:
        """Compute behind a progress dialog; write only if all went well and nobody cancelled."""
        bar = QProgressDialog("connecting", "Cancel", 0, 1000, _main_window())
        bar.setWindowTitle(TITLE)
        bar.setWindowModality(Qt.WindowModality.ApplicationModal)
        bar.setMinimumDuration(0)
        bar.setAutoReset(False)
        bar.setAutoClose(False)
        job = JobThread(parts, options)
        job.progressed.connect(lambda phase, share: (bar.setLabelText(phase), bar.setValue(int(share * 1000))))
        job.finished.connect(bar.accept)
        bar.canceled.connect(job.cancel)
        job.start()
        bar.exec()
        job.cancel()  # also when the dialog was closed another way; without effect on a finished job
        job.wait()
        if job.error is not None:
            raise job.error
        if not job.is_done:
            return
        result = pixels.apply(document, parts, options)
        if result is not document:
            Krita.instance().activeWindow().addView(result)


class JobThread(QThread):  # type: ignore[misc]
    """One job. `error` and `is_done` are to be read when it has finished."""

    progressed = pyqtSignal(str, float)

    def __init__(self, parts: list[Any], options: Any) -> None:
        super().__init__()
        self._parts, self._options = parts, options
        self._cancelled = threading.Event()
        self.error: Exception | None = None
        self.is_done = False

    def cancel(self) -> None:
        """Stop within a tenth of a second."""
        self._cancelled.set()

    def run(self) -> None:
        """The thread's body."""
        try:
            pixels.enlarge(self._parts, self._options, self.progressed.emit, self._cancelled.is_set)
            self.is_done = True
        except client.JobCancelled:
            self.is_done = False
        except client.WorkerError as error:
            self.error = error
        except Exception as error:  # an exception that leaves a QThread ends Krita
            self.error = client.WorkerError(f"{type(error).__name__}: {error}", "please report this")


class OptionsDialog(QDialog):  # type: ignore[misc]
    """Model, scale, scope; remembered from one time to the next."""

    def __init__(self, parent: Any, has_selection: bool) -> None:
        super().__init__(parent)
        self.setWindowTitle(TITLE)
        krita = Krita.instance()
        self.models = QComboBox(self)
        self.models.addItems([*client.model_names(), OWN_MODEL])
        self.models.setEditable(True)  # several models after each other: clean.pth,clear
        self.models.setToolTip("a name, a file, or several after each other: clean.pth,clear")
        self.models.setCurrentText(krita.readSetting(SETTINGS, "model", client.DEFAULT_MODEL))
        self.models.activated.connect(self._ask_for_file)
        self.scale = QDoubleSpinBox(self)
        self.scale.setRange(1, 16)
        self.scale.setSingleStep(0.5)
        self.scale.setValue(float(krita.readSetting(SETTINGS, "scale", "2")))
        self.strength, self.sharpen = self._share("strength", "1"), self._share("sharpen", "0")
        self.grain = self._share("grain", "0")
        self.strength.setToolTip("that much of the model, the rest of clear")
        self.sharpen.setToolTip("how much luma is sharpened")
        self.scope = QComboBox(self)
        for scope, label in SCOPE_LABELS.items():
            if scope != "selection" or has_selection:
                self.scope.addItem(label, scope)
        self.scope.setCurrentIndex(max(self.scope.findData(krita.readSetting(SETTINGS, "scope", "image")), 0))
        buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel, parent=self
        )
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        form = QFormLayout(self)
        form.addRow("Model", self.models)
        form.addRow("Scale", self.scale)
        form.addRow("Strength", self.strength)
        form.addRow("Sharpen", self.sharpen)
        form.addRow("Grain", self.grain)
        form.addRow("What", self.scope)
        form.addRow(buttons)

    def options(self) -> Any:
        """The choice, which is also remembered."""
        chosen = pixels.Options(
            self.models.currentText().strip(),
            self.scale.value(),
            self.scope.currentData(),
            self.strength.value(),
            self.sharpen.value(),
            self.grain.value(),
        )
        for name in ("model", "scale", "scope", "strength", "sharpen", "grain"):
            Krita.instance().writeSetting(SETTINGS, name, str(getattr(chosen, name)))
        return chosen

    def _share(self, name: str, default: str) -> Any:
        """A box for a number from 0 to 1, as it was the last time."""
        box = QDoubleSpinBox(self)
        box.setRange(0, 1)
        box.setSingleStep(0.05)
        box.setValue(float(Krita.instance().readSetting(SETTINGS, name, default)))
        return box

    def _ask_for_file(self, index: int) -> None:
        if self.models.itemText(index) != OWN_MODEL:
            return
        kinds = "Models (*.onnx *.safetensors *.pth *.param)"
        path, _ = QFileDialog.getOpenFileName(self, "A model of your own", "", kinds)
        if path:
            self.models.insertItem(0, path)
        self.models.setCurrentIndex(0)


def _main_window() -> Any:
    window = Krita.instance().activeWindow()
    return window.qwindow() if window is not None else None


def _complain(message: str, hint: str) -> None:
    box = QMessageBox(QMessageBox.Icon.Warning, TITLE, message, QMessageBox.StandardButton.Ok, _main_window())
    box.setInformativeText(hint)
    box.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)  # so that it can be copied
    box.exec()
