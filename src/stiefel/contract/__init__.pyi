from .check import check_method as check_method
