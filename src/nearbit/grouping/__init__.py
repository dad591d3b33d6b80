"""What groups and clusters of an index mean for pictures: which copy to keep, a typical picture of each."""

from nearbit.grouping.clusters import ClusterTold, cluster_advice, told_clusters
from nearbit.grouping.duplicates import Copy, DuplicateGroup, Duplicates, find_duplicates

__all__ = ["ClusterTold", "Copy", "DuplicateGroup", "Duplicates", "cluster_advice", "find_duplicates", "told_clusters"]
