// The click that had to wait is made again.

document.getElementById("go-on").requestSubmit();
