#!/bin/sh
echo ${param.size}
echo $${HOME}
echo ${HOME}
