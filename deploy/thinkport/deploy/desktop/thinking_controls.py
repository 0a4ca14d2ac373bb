"""How the next reply may think: a switch, and a budget that a slider and a number share."""

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QLabel, QSlider, QSpinBox, QWidget

from thinkport.runtime.thinking.thinking import Switch, Thinking

_SWITCHES = {"Auto": Switch.AUTO, "On": Switch.ON, "Off": Switch.OFF}
_SLIDER_MOST, _STEP, _MOST, _FIRST = 4096, 64, 1 << 20, 1024  # tokens


class ThinkingControls(QWidget):
    """`thinking` is what they are set to."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.switch = QComboBox(self, accessibleName="Thinking", toolTip="Auto leaves it to the model")
        self.switch.addItems(list(_SWITCHES))
        told = "Limit the thought to so many tokens; then the answer comes"
        self.limited = QCheckBox("&Budget", self, toolTip=told)
        self.slider = QSlider(Qt.Orientation.Horizontal, self, minimumWidth=120, accessibleName="Thinking budget")
        self.slider.setRange(0, _SLIDER_MOST // _STEP)
        self.number = QSpinBox(self, singleStep=_STEP, suffix=" tokens", accessibleName="Thinking budget in tokens")
        self.number.setRange(0, _MOST)
        self.slider.valueChanged.connect(lambda steps: self.number.setValue(steps * _STEP))
        self.number.valueChanged.connect(self._follow)
        self.number.setValue(_FIRST)
        self.limited.toggled.connect(self._enable)
        self.switch.currentIndexChanged.connect(self._enable)
        self._lay_out()
        self._enable()

    def thinking(self) -> Thinking:
        """The settings for a reply."""
        limited = self.limited.isEnabled() and self.limited.isChecked()
        budget = self.number.value() if limited else None
        return Thinking(enabled=_SWITCHES[self.switch.currentText()], budget=budget)

    def _lay_out(self) -> None:
        label = QLabel("&Thinking", self)
        label.setBuddy(self.switch)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (label, self.switch, self.limited):
            layout.addWidget(widget)
        layout.addWidget(self.slider, 2)
        layout.addWidget(self.number)
        layout.addStretch(1)

    def _follow(self, tokens: int) -> None:
        """Move the slider to the nearest step without moving the number in turn."""
        with QSignalBlocker(self.slider):
            self.slider.setValue(round(min(tokens, _SLIDER_MOST) / _STEP))

    def _enable(self) -> None:
        thinks = self.switch.currentText() != "Off"
        self.limited.setEnabled(thinks)
        for widget in (self.slider, self.number):
            widget.setEnabled(thinks and self.limited.isChecked())
