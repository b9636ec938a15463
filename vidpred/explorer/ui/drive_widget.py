"""What one drives with: pictures, the map, keys and buttons. Whoever shows it answers its presses: `server.press`."""

from vidpred.explorer.ui.html_component import Widget

DRIVE = Widget("drive", ["drawing", "drive"])
drive_widget = DRIVE.component
