"""What stands between a browser and a person's own server: the door for bytes and the dashboards' Voilà."""
