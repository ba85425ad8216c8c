# network-config (version 2) to one instruction a line. Reads the regular form in which `match` comes first in each NIC;
# block or flow style, JSON included: punctuation is only a separator here.
{
    sub(/^[ \t]*#.*/, "")
    gsub(/["'][ \t]*:/, ":")
    gsub(/[][{},"']/, " ")
    for (i = 1; i <= NF; i++) word($i)
}
function word(w) {
    if (w == "-") return
    if (w ~ /^[a-z][a-z0-9-]*:$/) {   # a key: an IPv6 address that ends in a colon does not begin like one of these
        key = substr(w, 1, length(w) - 1)
        if (key == "nameservers") names = 1
        else if (key != "addresses" && key != "search") names = 0
        return
    }
    if (key == "macaddress") print "nic", tolower(w)
    else if (key == "addresses") print (names ? "dns" : "address"), w
    else if (key == "gateway4" || key == "gateway6") print "route", "default", w
    else if (key == "mtu") print "mtu", w
    else if (key == "dhcp4" && w == "true") print "dhcp4"
    else if ((key == "accept-ra" || key == "dhcp6") && w == "true") print "accept-ra"
    else if (key == "to") to = w
    else if (key == "via") via = w
    if (to != "" && via != "") {
        if (to == "0.0.0.0/0" || to == "::/0") to = "default"
        print "route", to, via
        to = via = ""
    }
}
